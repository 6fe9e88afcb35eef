-- +goose Up
-- Times are microseconds UTC, 0 where unknown. An execution's id is its place in
-- the list: the microsecond of its start, shifted by ten bits, and an ordinal.
-- States: 0 started, 1 retried, 2 lost, 3 stopped, 4 failed, 5 finished.
CREATE TABLE distro_executions (
	id           INTEGER PRIMARY KEY,
	job_key      INTEGER NOT NULL, -- hash of job_id
	job_id       TEXT    NOT NULL,
	run          TEXT    NOT NULL,
	attempt      INTEGER NOT NULL,
	function     INTEGER NOT NULL, -- of distro_functions
	queue        INTEGER NOT NULL, -- of distro_names, as those that follow
	worker       INTEGER NOT NULL,
	host         INTEGER NOT NULL,
	python       INTEGER NOT NULL,
	code_hash    INTEGER NOT NULL,
	commit_hash  INTEGER NOT NULL,
	origin       INTEGER NOT NULL,
	caller       INTEGER NOT NULL,
	state        INTEGER NOT NULL,
	stock        INTEGER NOT NULL,
	enqueued_at  INTEGER NOT NULL,
	started_at   INTEGER NOT NULL,
	ended_at     INTEGER NOT NULL,
	took         INTEGER NOT NULL, -- microseconds; -1 where unknown
	arguments    TEXT    NOT NULL,
	result       TEXT    NOT NULL, -- its beginning; the whole of a longer one is in distro_details
	result_flags INTEGER NOT NULL, -- 1: JSON, 2: the whole was cut before it came here, 4: the whole is in distro_details
	kind         TEXT    NOT NULL,
	type         TEXT    NOT NULL,
	message      TEXT    NOT NULL,
	exit_code    INTEGER NOT NULL,
	signal       INTEGER NOT NULL,
	peak_memory  INTEGER NOT NULL,
	cpu_time     INTEGER NOT NULL, -- nanoseconds
	more         INTEGER NOT NULL, -- 1: has a row in distro_details
	size         INTEGER NOT NULL  -- what it takes on disk, about
);
CREATE INDEX distro_executions_job      ON distro_executions (job_key);
CREATE INDEX distro_executions_function ON distro_executions (function, state);
CREATE INDEX distro_executions_queue    ON distro_executions (queue);
CREATE INDEX distro_executions_worker   ON distro_executions (worker);
CREATE INDEX distro_executions_state    ON distro_executions (state) WHERE state <> 5;
CREATE INDEX distro_executions_took     ON distro_executions (took) WHERE took >= 10000000;
CREATE TABLE distro_details (
	id        INTEGER PRIMARY KEY,
	result    TEXT NOT NULL,
	traceback TEXT NOT NULL
);
CREATE VIRTUAL TABLE distro_argument_words USING fts5(words, content='', contentless_delete=1, detail=none, tokenize='ascii');
CREATE VIRTUAL TABLE distro_error_words    USING fts5(words, content='', contentless_delete=1, detail=none, tokenize='ascii');
CREATE TABLE distro_functions (
	id     INTEGER PRIMARY KEY,
	module TEXT NOT NULL,
	name   TEXT NOT NULL,
	UNIQUE (module, name)
);
CREATE TABLE distro_names (
	id   INTEGER PRIMARY KEY,
	name TEXT NOT NULL UNIQUE
);
CREATE TABLE distro_cursors (
	feed     TEXT PRIMARY KEY,
	position TEXT NOT NULL
);
CREATE TABLE distro_totals (
	id         INTEGER PRIMARY KEY,
	executions INTEGER NOT NULL,
	bytes      INTEGER NOT NULL
);
INSERT INTO distro_totals VALUES (1, 0, 0);
-- Ended executions by minute and hour, by queue and function. A series is a name's
-- number, and in its lowest five bits: whether by hour, whether by function, state.
CREATE TABLE distro_tallies (
	series INTEGER NOT NULL,
	at     INTEGER NOT NULL, -- seconds UTC, a whole minute or hour
	cell   INTEGER NOT NULL, -- of the histogram of how long they took, from 1000 on of how long they waited
	n      INTEGER NOT NULL,
	PRIMARY KEY (series, at, cell)
) WITHOUT ROWID;
CREATE TABLE distro_operations (
	id         TEXT    PRIMARY KEY,
	action     TEXT    NOT NULL,
	filter     TEXT    NOT NULL,
	state      TEXT    NOT NULL,
	total      INTEGER NOT NULL,
	done       INTEGER NOT NULL,
	skipped    INTEGER NOT NULL,
	failed     INTEGER NOT NULL,
	position   TEXT    NOT NULL,
	sample     TEXT    NOT NULL,
	caller     TEXT    NOT NULL,
	cancel     INTEGER NOT NULL,
	created_at INTEGER NOT NULL,
	started_at INTEGER NOT NULL,
	ended_at   INTEGER NOT NULL
);
CREATE INDEX distro_operations_created ON distro_operations (created_at);
CREATE TABLE distro_answers (
	id          TEXT    PRIMARY KEY,
	fingerprint TEXT    NOT NULL,
	response    BLOB    NOT NULL,
	expires_at  INTEGER NOT NULL
);
CREATE INDEX distro_answers_expiring ON distro_answers (expires_at);
