-- Every statement of the SQLite store, by name. A name stands before its statement as "-- name: NAME".

-- name: schema
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE queue (
    seq        INTEGER PRIMARY KEY AUTOINCREMENT,
    task_id    TEXT NOT NULL,
    wish       TEXT,             -- NULL: look again
    spec       TEXT,             -- JSON
    forget     INTEGER NOT NULL,
    not_before REAL NOT NULL,
    actor      TEXT NOT NULL,
    cause      TEXT NOT NULL
);
CREATE INDEX queue_by_task ON queue (task_id);
CREATE INDEX queue_by_time ON queue (not_before);
CREATE TABLE tasks (id TEXT PRIMARY KEY, version INTEGER NOT NULL, record TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE history (seq INTEGER PRIMARY KEY AUTOINCREMENT, task_id TEXT NOT NULL, record TEXT NOT NULL);
CREATE INDEX history_by_task ON history (task_id, seq);
CREATE TABLE declarations (name TEXT PRIMARY KEY, version INTEGER NOT NULL, record TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE images (id TEXT PRIMARY KEY, record TEXT NOT NULL) WITHOUT ROWID;

-- name: from_1
-- Schema 1 kept no declarations: what its tasks were made from counts as declared, and as rolled out.
CREATE TABLE declarations (name TEXT PRIMARY KEY, version INTEGER NOT NULL, record TEXT NOT NULL) WITHOUT ROWID;
INSERT INTO declarations (name, version, record)
SELECT json_extract(record, '$.spec.name'), 1, json_object(
    'name', json_extract(record, '$.spec.name'), 'version', 1, 'progress', 'complete', 'revisions',
    json_array(json_object('number', 1, 'declared_at', min(json_extract(record, '$.created_at')), 'good', json('true'),
                           'spec', json(json_extract(record, '$.spec')))))
FROM tasks WHERE json_extract(record, '$.forget') IS NULL GROUP BY 1;
PRAGMA user_version = 2;

-- name: from_2
-- Schema 2 did not know which images were pulled for tasks: those that are there stay.
CREATE TABLE images (id TEXT PRIMARY KEY, record TEXT NOT NULL) WITHOUT ROWID;
PRAGMA user_version = 3;

-- name: claims
-- Temporary on purpose: a claim dies with the process that made it, and costs no write to the disk.
CREATE TEMP TABLE claims (seq INTEGER PRIMARY KEY, task_id TEXT NOT NULL, worker TEXT NOT NULL);

-- name: instance
SELECT value FROM meta WHERE key = 'instance';

-- name: set_instance
INSERT INTO meta (key, value) VALUES ('instance', ?) ON CONFLICT DO NOTHING;

-- name: add_item
INSERT INTO queue (task_id, wish, spec, forget, not_before, actor, cause) VALUES (?, ?, ?, ?, ?, ?, ?);

-- name: rewrite_item
UPDATE queue SET task_id = ?, wish = ?, spec = ?, forget = ?, not_before = ?, actor = ?, cause = ? WHERE seq = ?;

-- name: waiting_look
SELECT seq FROM queue
WHERE task_id = ? AND wish IS NULL AND forget = ? AND seq <> ? AND seq NOT IN (SELECT seq FROM claims) LIMIT 1;

-- name: busy
SELECT DISTINCT task_id FROM claims;

-- name: reaping
SELECT task_id, min(not_before) FROM queue WHERE wish IS NULL AND forget GROUP BY task_id;

-- name: hasten
UPDATE queue SET not_before = ?1, actor = ?2, cause = ?3 WHERE seq = ?4 AND not_before > ?1;

-- name: drop_item
DELETE FROM queue WHERE seq = ?;

-- name: due
SELECT seq, task_id, wish, spec, forget, not_before, actor, cause FROM queue
WHERE not_before <= ?
  AND seq NOT IN (SELECT seq FROM claims)
  AND task_id NOT IN (SELECT task_id FROM claims WHERE worker <> ?)
ORDER BY seq LIMIT ?;

-- name: claim
INSERT INTO claims (seq, task_id, worker) VALUES (?, ?, ?);

-- name: unclaim
DELETE FROM claims WHERE seq = ?;

-- name: release
DELETE FROM claims WHERE worker = ?;

-- name: next_due
SELECT min(not_before) FROM queue WHERE not_before > ?;

-- name: depth
SELECT count(*) FROM queue;

-- name: version_of_task
SELECT version FROM tasks WHERE id = ?;

-- name: add_task
INSERT INTO tasks (record, version, id) VALUES (?, ?, ?) ON CONFLICT DO NOTHING;

-- name: write_task
UPDATE tasks SET record = ?, version = ? WHERE id = ? AND version = ?;

-- name: forget_task
DELETE FROM tasks WHERE id = ? AND version = ?;

-- name: tasks
SELECT record FROM tasks;

-- name: version_of_declaration
SELECT version FROM declarations WHERE name = ?;

-- name: add_declaration
INSERT INTO declarations (record, version, name) VALUES (?, ?, ?) ON CONFLICT DO NOTHING;

-- name: write_declaration
UPDATE declarations SET record = ?, version = ? WHERE name = ? AND version = ?;

-- name: forget_declaration
DELETE FROM declarations WHERE name = ? AND version = ?;

-- name: declarations
SELECT record FROM declarations;

-- name: images
SELECT record FROM images;

-- name: keep_image
INSERT INTO images (id, record) VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET record = excluded.record;

-- name: drop_image
DELETE FROM images WHERE id = ?;

-- name: add_event
INSERT INTO history (task_id, record) VALUES (?, ?);

-- name: history
SELECT seq, record FROM history WHERE seq > ? ORDER BY seq LIMIT ?;

-- name: history_of_task
SELECT seq, record FROM history WHERE task_id = ? AND seq > ? ORDER BY seq LIMIT ?;

-- name: newest
SELECT seq, record FROM history WHERE seq > ? ORDER BY seq DESC LIMIT ?;

-- name: newest_of_task
SELECT seq, record FROM history WHERE task_id = ? AND seq > ? ORDER BY seq DESC LIMIT ?;

-- name: last_seq
SELECT coalesce(max(seq), 0) FROM history;

-- name: oldest_seq
SELECT coalesce(min(seq), 0) FROM history;

-- name: trim_history
DELETE FROM history WHERE seq <= (SELECT max(seq) FROM history) - ?;
