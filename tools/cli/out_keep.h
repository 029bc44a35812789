/*
 * out_keep.h - what a new file gets of the one that it is to replace.
 */
#ifndef OUT_KEEP_H
#define OUT_KEEP_H

#include <sys/stat.h>

/*
 * Give the new file `fd` owner, group and mode (but for set-user-ID and set-group-ID) of the file
 * `name` in a folder, whose status is `old`, with its ACLs, its attributes of users (user.*) and the
 * label by which SELinux or Smack tell who may use it. 0, or a negative errno where some of it cannot
 * be kept; nothing is said.
 */
int out_keep(int fd, int folder_fd, const char *name, const struct stat *old);

#endif
