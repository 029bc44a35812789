#include "engine/base/epoch.h"

#ifdef EPOCH_TSAN
char epoch_tsan_tag;
#else
typedef int epoch_not_empty; /* ISO C wants a declaration in every file */
#endif
