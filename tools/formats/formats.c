/*
 * formats.c - the formats by name and by suffix.
 */
#include "tools/formats/formats.h"
#include "tools/formats/unpack.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <strings.h>

static const struct format *const formats[] = {
	&format_npy,      &format_npz,         &format_fvecs, &format_bvecs,   &format_ivecs,
	&format_fbin,     &format_f16bin,      &format_dbin,  &format_u8bin,   &format_i8bin,
	&format_ibin,     &format_safetensors, &format_hdf5,  &format_parquet, &format_arrow,
	&format_jsonl,    &format_json,        &format_csv,   &format_tsv,     &format_glove,
	&format_word2vec, &format_w2vbin,      &format_raw,
};

/* Other suffixes that are in use. */
static const struct {
	const char *suffix;
	const struct format *format;
} others[] = {
	{ ".fvec", &format_fvecs },    { ".bvec", &format_bvecs },   { ".ivec", &format_ivecs },
	{ ".h5", &format_hdf5 },       { ".hbin", &format_f16bin },  { ".ndjson", &format_jsonl },
	{ ".feather", &format_arrow }, { ".arrows", &format_arrow }, { ".ipc", &format_arrow },
	{ ".w2v", &format_word2vec },  { ".glove", &format_glove },
};

/* What Google's vectors of its news are called, and much else. */
#define BINARY ".bin"

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

const struct format *format_by_name(const char *name)
{
	for (size_t i = 0; i < LENGTH(formats); i++) {
		if (strcmp(formats[i]->name, name) == 0)
			return formats[i];
	}
	return NULL;
}

int format_header_parse(const char *word, enum format_header *header)
{
	static const char *const words[] = {
		[FORMAT_HEADER_AUTO] = "auto",
		[FORMAT_HEADER_YES] = "yes",
		[FORMAT_HEADER_NO] = "no",
	};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (strcmp(words[i], word) == 0) {
			*header = (enum format_header)i;
			return 0;
		}
	}
	return -EINVAL;
}

int format_delimiter(const char *word, char *delimiter)
{
	static const struct {
		const char *word;
		char delimiter;
	} known[] = {
		{ "comma", ',' }, { "semicolon", ';' }, { "tab", '\t' },
		{ "space", ' ' }, { "pipe", '|' },
	};

	for (size_t i = 0; i < LENGTH(known); i++) {
		const char itself[2] = { known[i].delimiter, '\0' };

		if (strcmp(known[i].word, word) == 0 || strcmp(itself, word) == 0) {
			*delimiter = known[i].delimiter;
			return 0;
		}
	}
	return -EINVAL;
}

/* The format of a suffix, with its dot, of this length. */
static const struct format *find_suffix(const char *suffix, size_t length)
{
	for (size_t i = 0; i < LENGTH(formats); i++) {
		if (strlen(formats[i]->suffix) == length &&
		    strncasecmp(formats[i]->suffix, suffix, length) == 0)
			return formats[i];
	}
	for (size_t i = 0; i < LENGTH(others); i++) {
		if (strlen(others[i].suffix) == length &&
		    strncasecmp(others[i].suffix, suffix, length) == 0)
			return others[i].format;
	}
	return NULL;
}

/* The format that the end of a path of this length tells, or NULL. */
static const struct format *find_ending(const char *path, size_t length)
{
	size_t dot = length;

	while (dot > 0 && path[dot - 1] != '.' && path[dot - 1] != '/')
		dot--;
	return dot > 0 && path[dot - 1] == '.' ? find_suffix(path + dot - 1, length - dot + 1)
	                                       : NULL;
}

const struct format *format_by_suffix(const char *path)
{
	size_t length;

	(void)unpack_by_name(path, &length);
	return find_ending(path, length);
}

const struct format *format_to_read(const char *path)
{
	size_t length;

	(void)unpack_by_name(path, &length);
	/* of the many files of this name it refuses what is not its own, by its first line */
	if (length >= strlen(BINARY) &&
	    strncasecmp(path + length - strlen(BINARY), BINARY, strlen(BINARY)) == 0)
		return &format_w2vbin;
	return find_ending(path, length);
}
