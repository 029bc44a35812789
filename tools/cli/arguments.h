/*
 * arguments.h - the arguments of a subcommand, from a table.
 *
 * Over argp(3), which gives --help, --usage and --version. Main thread only.
 */
#ifndef ARGUMENTS_H
#define ARGUMENTS_H

#include <argp.h>
#include <stdbool.h>
#include <stddef.h>

/* More than any command has. */
#define ARGUMENTS_OPTIONS_MAX 31u
#define ARGUMENTS_WORDS_MAX 2u

/* An option, and the one thing that is done with it. With none of them it changes nothing. */
struct argument_option {
	const char *name; /* behind two hyphens; NULL: a letter alone */
	char letter; /* behind one hyphen; '\0': the name alone */
	const char *value; /* what --help calls the value; NULL: takes none */
	/* NULL: another spelling of the option before: a name, for which the option before is told,
	 * or a letter, which is told itself. */
	const char *help;

	bool may_lack_value; /* it may be left out */
	bool *sets, *clears; /* a flag */
	const char **keeps; /* the value as it is */
	/* Reads the value (NULL where it was left out) into `to`. arguments_error where it is wrong,
	 * or an errno, which ends the reading. */
	error_t (*take)(void *to, char *value, const struct argp_state *state);
	void *to;
};

struct arguments {
	const char *usage; /* "STORE|MNT FILE"; several of them with '\n' between */
	const char *help; /* what the command does, '\v', and what follows the options */
	const struct argument_option *options; /* up to one without name and letter; NULL: none */
	/* Where the words go that are no options: one each, and the rest of them, where it is
	 * set, to *rest. A word for which there is no room is an error. */
	char **words[ARGUMENTS_WORDS_MAX];
	char ***rest; /* of argv; NULL: no more words */
	size_t *rest_count;
	size_t least; /* words that must be there */
	const char *missing; /* what is said where they are not */
	/* Whether all fits together; arguments_error where not. NULL: nothing to look at. */
	void (*check)(void *to, const struct argp_state *state);
	void *to;
	int status_usage; /* exit status where the arguments are wrong; 0: that of quiverfs */
};

/* As argp_error(3): what is wrong with the arguments, and the end of the process. A word that is shown
 * may come from a list of files, so from somebody else: of it a terminal sees what printable.h
 * leaves. */
void arguments_error(const struct argp_state *state, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* The `take` of a --metric: *to is an int, which becomes an enum quiver_metric. 0; a name that is not
 * one ends the process, by arguments_error. */
error_t arguments_take_metric(void *to, char *text, const struct argp_state *state);

/* Whether getopt may show what looks like an option: names of options are printable. Says which is
 * not. To be asked before any arguments are read. */
bool arguments_are_printable(int argc, char **argv);

/*
 * Read the arguments. Where they are wrong, or ask for help, this says so and ends the
 * process. -ENOMEM and what `take` returned, with nothing said.
 */
int arguments_parse(const struct arguments *arguments, int argc, char **argv);

#endif
