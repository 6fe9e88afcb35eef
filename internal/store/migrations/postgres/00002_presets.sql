-- +goose Up
-- Arguments that people keep for functions. Of the presets of a function no two
-- have one key: the name, whatever its case.
CREATE TABLE distro_presets (
	module   TEXT   NOT NULL,
	function TEXT   NOT NULL,
	key      TEXT   NOT NULL,
	name     TEXT   NOT NULL,
	content  TEXT   NOT NULL,
	caller   TEXT   NOT NULL,
	saved_at BIGINT NOT NULL,
	PRIMARY KEY (module, function, key)
);
