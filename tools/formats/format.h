/*
 * format.h - one interface for all formats of files of vectors, and what several of them share.
 *
 * A reader hands out rows from a stream, in order, in the file's own type of element;
 * a writer takes rows. Formats know nothing of stores. One thread for each reader and
 * writer. Errors are negative errnos, with a reason that a person understands in
 * `reason`; whoever uses the format says which file, and where in it.
 */
#ifndef FORMAT_H
#define FORMAT_H

#include "engine/codec/element.h"
#include "tools/formats/stream.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* The number of rows is not known before the end. */
#define FORMAT_ROWS_UNKNOWN UINT64_MAX
#define FORMAT_REASON_BYTES 384
#define FORMAT_NAME_BYTES 80

/* Names that programs have for the column or member that is the vector, and for that of the ID: the
 * first that is there is taken. */
#define FORMAT_VECTOR_NAMES                                          \
	{                                                            \
		"vector", "embedding", "embeddings", "values", "emb" \
	}
#define FORMAT_ID_NAMES           \
	{                         \
		"id", "_id", "ID" \
	}

/* Whether the first line of a text names the columns. */
enum format_header {
	FORMAT_HEADER_AUTO, /* found out */
	FORMAT_HEADER_YES,
	FORMAT_HEADER_NO,
};

/* What the reader is asked for. */
struct format_wanted {
	uint32_t dim; /* of the store; 0: the file is to tell it, or its first row */
	enum element type; /* of the store: what text is read as */
	bool convert; /* text may hold numbers that this type has not */
	const char *dataset; /* which array of the file; NULL: the usual one */
	/* Which columns or members hold the vector and the ID, of formats that has_columns; NULL:
	 * the usual ones. */
	const char *vector_column;
	const char *id_column;
	enum format_header header; /* of formats that has_header */
	char delimiter; /* between the fields of a line, of the same; '\0': found out */
	bool partial; /* where the file is cut off, the rows before that are wanted */
	uint64_t
		limit; /* no row beyond so many is asked for, so that it may be cut off behind them */
	uint64_t skip_bytes; /* before the first row, of formats that have no header of their own */
	bool one_row; /* an array of one dimension is a row, where a format has such */
	bool ids_unused; /* rows are numbered otherwise: what the file has for IDs may be anything */
	/* Called with the key of each row, in order, by format_key: its word, or whatever the file
	 * has for its ID, a number too. A negative errno, after having said why, ends the reading.
	 * NULL: not wanted; then an ID that is no number is refused (format_refuse_key). */
	int (*on_key)(void *arg, const char *key, size_t length);
	void *on_key_arg;
};

/* Room for rows, the caller's. */
struct format_batch {
	size_t room; /* rows that fit */
	size_t count; /* set: rows read, also where an error follows them */
	void *rows; /* one after another, dim elements each */
	uint64_t *ids; /* set where the reader has_ids */
	uint64_t *offsets; /* set: where in the file each row begins */
};

struct format_reader {
	const struct format *format;
	struct stream *stream; /* the caller's */
	struct format_wanted wanted;
	/* Set by open: */
	uint32_t dim; /* 0 only where wanted.dim is, and neither header nor first row tells it */
	enum element type;
	uint64_t rows; /* or FORMAT_ROWS_UNKNOWN */
	bool has_ids; /* each row brings its ID, a number */
	char ids_from[FORMAT_NAME_BYTES]; /* where those stand: "the first column", "'id'" */
	bool has_keys; /* each row brings a key, which on_key gets; then has_ids is false */
	bool big_endian; /* read turns the bytes around: only with wanted.convert */
	bool is_text; /* read brings elements of wanted.type */
	bool lacks_rows; /* of text: it ends before its first row, which nothing in it says */
	/* Changed by read: */
	uint64_t row; /* rows handed out */
	uint64_t line; /* of text: lines read; 0 where there are none */
	uint64_t offset; /* where the record begins that an error is about */
	struct element_loss loss; /* of text */
	/* Changed by open and read, with wanted.partial: rows that the header promises, or of which
	 * a part is there, beyond those that are handed out. */
	uint64_t missing;
	uint64_t data_offset; /* of the first row */
	void *state; /* the format's own */
	char reason[FORMAT_REASON_BYTES];
	/* Set by open: how the file was taken where it could be meant otherwise; "" for nothing. */
	char note[FORMAT_REASON_BYTES];
};

struct format_writer {
	const struct format *format;
	uint32_t dim;
	enum element type; /* of the rows that are written; b1 only of a format that is_text */
	uint64_t expected; /* rows: what headers tell until finish */
	const char *dataset; /* NULL: the usual name */
	/* UTF-8 for people and programs, of formats that have a place for it; NULL: not known. */
	const char *dtype; /* of the elements, "b1" also where they are packed into u1 */
	const char *metric;
	const char *label; /* at most 1 KiB; "" for none */
	/* Of formats that have them: */
	bool header; /* write a first line with the names of the columns */
	char delimiter; /* between columns; 0: the usual one */
	const char *vector_column, *id_column; /* NULL: the usual names */
	/* Where the bytes go; 0 or a negative errno after having said what is wrong. */
	int (*write)(void *arg, const void *bytes, size_t length);
	/* Over the start of the file; NULL where that cannot be (a pipe, a compressed file). */
	int (*write_start)(void *arg, const void *bytes, size_t length);
	void *arg;
	const char *path; /* of formats whose library writes the file itself */
	uint64_t rows; /* written so far: counted by the caller */
	void *state;
	char reason[FORMAT_REASON_BYTES]; /* set where the format itself refuses, else "" */
};

/* How files of a format are read and written. */
struct format_calls {
	/*
	 * Look at the header, or the first row, and set what is to be set; no row is
	 * handed out. -EINVAL not such a file, or one whose size does not fit its header;
	 * -ENOTSUP it would need wanted.convert or a file that can be read at any place;
	 * -ENOMEM; errors of reading.
	 */
	int (*open)(struct format_reader *reader);
	/*
	 * Read up to batch->room rows. 0, with count 0 only at the end; -EINVAL and others
	 * as above, the rows before the bad one being in the batch, and reader->offset
	 * where it begins.
	 */
	int (*read)(struct format_reader *reader, struct format_batch *batch);
	void (*close)(struct format_reader *reader); /* NULL: nothing to do */

	/* NULL where nothing comes first. */
	int (*write_header)(struct format_writer *writer);
	/* The header of a file with so many rows, by one of the writer's two functions: what
	 * format_write_header and format_finish write. NULL where those are not used. */
	int (*put_header)(struct format_writer *writer, uint64_t rows,
	                  int (*write)(void *arg, const void *bytes, size_t length));
	/* `key`, where it is not NULL, takes the place of the ID; only of formats that reads_keys. */
	int (*write_row)(struct format_writer *writer, uint64_t id, const void *row,
	                 const char *key);
	/* All rows are written: what follows them, and put the header right, or refuse where it
	 * promises more and there is no write_start. NULL: nothing to do. */
	int (*finish)(struct format_writer *writer);
	/* Also after an error. NULL: nothing to do. */
	void (*end)(struct format_writer *writer);
};

struct format {
	const char *name; /* for --format */
	const char *suffix; /* with its dot; "" where there is none of its own */
	bool needs_path; /* is read from a regular file: no stream will do */
	bool writes_path; /* the same of writing */
	bool writes_ids; /* the file itself holds the IDs */
	bool reads_keys; /* a row may have a key, a string that stands for its ID */
	bool keys_are_words; /* which rows are not numbered by: without --keys they are dropped */
	bool any_start; /* its first bytes may be any: by its name alone a file is known as packed */
	bool has_datasets; /* an array in the file has a name */
	bool has_skip; /* bytes before its rows may be passed over: wanted.skip_bytes */
	bool has_header; /* a first line may name its columns, which a delimiter is between */
	bool has_columns; /* vector and ID are columns or members that have names */
	bool is_text; /* a bit is written as 0 or 1; other formats have them packed, as u1 */
	const char *type; /* the only one of its elements; NULL: each type of a store */
	const struct format_calls *calls;
};

/* Set the reason, as printf does, and return -EINVAL. */
int format_refuse(struct format_reader *reader, const char *text, ...)
	__attribute__((format(printf, 2, 3)));
/* The same with any negative errno. */
int format_fail(struct format_reader *reader, int result, const char *text, ...)
	__attribute__((format(printf, 3, 4)));
int format_writer_refuse(struct format_writer *writer, const char *text, ...)
	__attribute__((format(printf, 2, 3)));

/* Hand out the key of a row: not empty, and of one line, since files of keys have lines. For formats
 * whose wanted.on_key is set. What that returns comes back with the reason "": it has been said. */
int format_key(struct format_reader *reader, const char *key, size_t length);
/* The ID of a row is no number, and nobody asked for keys: -EINVAL. */
int format_refuse_key(struct format_reader *reader, const char *key, size_t length);

/* Set the reason for an error of the stream, and return it. */
int format_stream_error(struct format_reader *reader, int64_t result);

/*
 * Read rows of one size that follow one another, `lead_bytes` before each (0: none),
 * up to reader->rows or, where that is not known, to the end of the stream. Each lead
 * is an int32 that must be reader->dim. For formats to use as `read`.
 */
int format_read_fixed(struct format_reader *reader, struct format_batch *batch, size_t lead_bytes);
/* The same without leads. */
int format_read_plain(struct format_reader *reader, struct format_batch *batch);

/* Compare the length of a stream that is sized with what the header tells. It may be shorter where the
 * first wanted.limit rows, from data_offset on, are whole, and with wanted.partial: then rows become as
 * many as are whole, and missing the others. */
int format_check_size(struct format_reader *reader, uint64_t expected);

/* Put a header for as many rows as are expected, or over it one for those that were written: -ESTALE
 * where they are fewer and it cannot be put over it. For formats to use as `write_header` and
 * `finish`. */
int format_write_header(struct format_writer *writer);
int format_finish(struct format_writer *writer);

/* Write a row as it is. */
int format_write_plain(struct format_writer *writer, uint64_t id, const void *row, const char *key);

#endif
