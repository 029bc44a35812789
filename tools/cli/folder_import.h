/*
 * folder_import.h - quiverfs import of a folder: its files are vectors, and their names the IDs.
 */
#ifndef FOLDER_IMPORT_H
#define FOLDER_IMPORT_H

#include "tools/cli/folder_bring.h"

/* Import, and say what was done. The exit status. */
int folder_import_run(const struct folder_import *wanted);

#endif
