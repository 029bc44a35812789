/*
 * folder_export.h - quiverfs export to a folder: a file for each vector, its ID being the name.
 */
#ifndef FOLDER_EXPORT_H
#define FOLDER_EXPORT_H

#include "tools/cli/folder_carry.h"

/* Export, and say what was done. The exit status. */
int folder_export_run(const struct folder_export *wanted);

#endif
