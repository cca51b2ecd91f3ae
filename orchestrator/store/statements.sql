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

-- name: claims
-- Temporary on purpose: a claim dies with the process that made it, and costs no write to the disk.
CREATE TEMP TABLE claims (seq INTEGER PRIMARY KEY, task_id TEXT NOT NULL, worker TEXT NOT NULL);

-- name: instance
SELECT value FROM meta WHERE key = 'instance';

-- name: set_instance
INSERT INTO meta (key, value) VALUES ('instance', ?);

-- name: add_item
INSERT INTO queue (task_id, wish, spec, forget, not_before, actor, cause) VALUES (?, ?, ?, ?, ?, ?, ?);

-- name: rewrite_item
UPDATE queue SET task_id = ?, wish = ?, spec = ?, forget = ?, not_before = ?, actor = ?, cause = ? WHERE seq = ?;

-- name: waiting_look
SELECT seq FROM queue WHERE task_id = ? AND wish IS NULL AND seq <> ? AND seq NOT IN (SELECT seq FROM claims) LIMIT 1;

-- name: hasten
UPDATE queue SET not_before = min(not_before, ?) WHERE seq = ?;

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

-- name: version
SELECT version FROM tasks WHERE id = ?;

-- name: add_task
INSERT INTO tasks (record, version, id) VALUES (?, ?, ?) ON CONFLICT DO NOTHING;

-- name: write_task
UPDATE tasks SET record = ?, version = ? WHERE id = ? AND version = ?;

-- name: forget_task
DELETE FROM tasks WHERE id = ? AND version = ?;

-- name: tasks
SELECT record FROM tasks;

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
