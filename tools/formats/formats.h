/*
 * formats.h - the formats of files of vectors that there are.
 */
#ifndef FORMATS_H
#define FORMATS_H

#include "tools/formats/format.h"

/* What to say where format_delimiter refuses a word, with that. */
#define FORMAT_DELIMITER_ERROR                                                                   \
	"--delimiter: '%s' is not one of: comma, semicolon, tab, space, pipe, or the character " \
	"itself"

/* Those of all formats, for messages and --help. */
#define FORMAT_NAMES                               \
	"npy, npz, fvecs, bvecs, ivecs, "          \
	"fbin, f16bin, dbin, u8bin, i8bin, ibin, " \
	"safetensors, hdf5, parquet, arrow, "      \
	"jsonl, json, csv, tsv, "                  \
	"glove, word2vec, w2vbin, raw"

/* The format of this name, or NULL. */
const struct format *format_by_name(const char *name);
/* The character that a word (comma, semicolon, tab, space or pipe) or the character itself
 * stands for, to separate fields. 0, or -EINVAL for anything else. */
int format_delimiter(const char *word, char *delimiter);
/* Whether a first line names the columns, as a word, yes, no or auto. 0, or -EINVAL for another. */
int format_header_parse(const char *word, enum format_header *header);
/* The format that the suffix of this path tells, before .gz or .zst of what is packed, or NULL. */
const struct format *format_by_suffix(const char *path);
/* The same of a file that is there, whose suffix may be one that several formats share. */
const struct format *format_to_read(const char *path);

extern const struct format format_npy, format_npz, format_fvecs, format_bvecs, format_ivecs,
	format_fbin, format_f16bin, format_dbin, format_u8bin, format_i8bin, format_ibin,
	format_safetensors, format_hdf5, format_parquet, format_arrow, format_jsonl, format_json,
	format_csv, format_tsv, format_word2vec, format_w2vbin, format_glove, format_raw;

#endif
