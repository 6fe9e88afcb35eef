-- +goose Up
-- Which words the tables of words hold, read from their indexes: nothing is
-- copied or written twice.
CREATE VIRTUAL TABLE distro_argument_vocabulary USING fts5vocab(distro_argument_words, instance);
CREATE VIRTUAL TABLE distro_error_vocabulary    USING fts5vocab(distro_error_words, instance);
