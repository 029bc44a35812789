/*
 * formats.h - the formats of files of vectors that there are.
 */
#ifndef FORMATS_H
#define FORMATS_H

#include "tools/formats/format.h"

/* Those of all formats, for messages and --help. */
#define FORMAT_NAMES                                                                               \
	"npy, fvecs, bvecs, ivecs, fbin, u8bin, i8bin, safetensors, hdf5, jsonl, json, csv, tsv, " \
	"glove, "                                                                                  \
	"word2vec"

/* The format of this name, or NULL. */
const struct format *format_by_name(const char *name);
/* The character that a word (comma, semicolon, tab, space or pipe) or the character itself
 * stands for, to separate fields. 0, or -EINVAL for anything else. */
int format_delimiter(const char *word, char *delimiter);
/* The format that the suffix of this path tells, before .gz or .zst of what is packed, or NULL. */
const struct format *format_by_suffix(const char *path);

extern const struct format format_npy, format_fvecs, format_bvecs, format_ivecs, format_fbin,
	format_u8bin, format_i8bin, format_safetensors, format_hdf5, format_jsonl, format_json,
	format_csv, format_tsv, format_word2vec, format_glove;

#endif
