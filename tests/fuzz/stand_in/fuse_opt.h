/* fuse_opt.h - the one function of libfuse that fs/daemon/options.c needs, for fuzzing without it. */
#ifndef FUSE_OPT_H
#define FUSE_OPT_H

int fuse_opt_add_opt_escaped(char **list, const char *option);

#endif
