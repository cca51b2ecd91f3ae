"""The tables of images, layers and snapshots.

Nothing is on the disk without a row that was there first and goes last: a directory of ``layers`` is named by the
number of its row, one of ``staging`` by its arrival, one of ``snapshots`` by its container.
"""

from __future__ import annotations

SCHEMA = """
create table if not exists layers (
    number integer primary key autoincrement,
    chain text unique,            -- null: nobody may find it any more, it is on its way out
    made integer not null default 0,
    size integer not null default 0,
    inodes integer not null default 0
);
create table if not exists images (
    id text primary key,
    config blob not null,
    pulled_ns integer not null,
    used_ns integer not null
);
create table if not exists image_layers (
    image_id text not null references images (id) on delete cascade,
    position integer not null,    -- 0 is the lowest
    layer integer not null references layers (number),
    primary key (image_id, position)
);
create index if not exists image_layers_by_layer on image_layers (layer);
create table if not exists image_names (
    name text primary key,        -- with tag or with digest
    image_id text not null references images (id) on delete cascade
);
create index if not exists image_names_by_image on image_names (image_id);
create table if not exists manifests (
    image_id text not null references images (id) on delete cascade,
    digest text not null,
    content blob not null,
    primary key (image_id, digest)
);
create table if not exists arrivals (
    id text primary key           -- whoever holds the lock of this name is bringing an image in
);
create table if not exists snapshots (
    id text primary key           -- of the container
);
create table if not exists snapshot_images (
    snapshot text not null references snapshots (id) on delete cascade,
    image_id text not null,       -- what it is made of, or has as a volume, perhaps removed meanwhile
    primary key (snapshot, image_id)
);
create table if not exists snapshot_layers (
    snapshot text not null references snapshots (id) on delete cascade,
    layer integer not null references layers (number),
    primary key (snapshot, layer)
);
create index if not exists snapshot_layers_by_layer on snapshot_layers (layer);
create table if not exists snapshot_mounts (
    target text primary key,
    snapshot text not null references snapshots (id) on delete cascade
)
"""
