/* Which instruction set is used. */
#include "engine/distance/distance.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#if defined(__x86_64__)
#include <cpuid.h>
#endif

#include "engine/distance/kernels.h"

/* ---- which instructions there are ---- */

#if defined(QUIVER_DISTANCE_LEVELS)
/* What the compiler's function does not tell of: bits of cpuid. */
static bool has_f16c_movbe_lzcnt(void)
{
	unsigned a, b, c, d;

	return __get_cpuid(1, &a, &b, &c, &d) && (c & bit_F16C) && (c & bit_MOVBE) &&
	       __get_cpuid(0x80000001, &a, &b, &c, &d) && (c & bit_LZCNT);
}

static bool has_v2(void)
{
	return __builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("ssse3") &&
	       __builtin_cpu_supports("popcnt");
}

static bool has_v3(void)
{
	return has_v2() && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
	       __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2") &&
	       has_f16c_movbe_lzcnt();
}

static bool has_v4(void)
{
	return has_v3() && __builtin_cpu_supports("avx512f") &&
	       __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512cd") &&
	       __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}

static bool has_v4i(void)
{
	return has_v4() && __builtin_cpu_supports("avx512vnni") &&
	       __builtin_cpu_supports("avx512vpopcntdq");
}
#endif

static bool has_base(void)
{
	return true;
}

/* The best first. */
static const struct {
	const struct distance_kernels *kernels;
	bool (*is_there)(void);
} levels[] = {
#if defined(QUIVER_DISTANCE_LEVELS)
	{ &distance_kernels_v4i, has_v4i },   { &distance_kernels_v4, has_v4 },
	{ &distance_kernels_v3, has_v3 },     { &distance_kernels_v2, has_v2 },
#endif
	{ &distance_kernels_base, has_base },
};

#define LEVELS (sizeof(levels) / sizeof(levels[0]))

static const struct distance_kernels *choose(void)
{
	const char *wanted = getenv("QUIVERFS_ISA");
	const struct distance_kernels *best = NULL;

	for (size_t i = 0; i < LEVELS; i++) {
		if (!levels[i].is_there())
			continue;
		if (wanted && strcmp(wanted, levels[i].kernels->isa) == 0)
			return levels[i].kernels;
		if (!best)
			best = levels[i].kernels;
	}
	return best;
}

static const struct distance_kernels *kernels(void)
{
	/* Whoever chooses at the same time chooses the same. */
	static const struct distance_kernels *_Atomic chosen;
	const struct distance_kernels *k = atomic_load_explicit(&chosen, memory_order_relaxed);

	if (!k) {
		k = choose();
		atomic_store_explicit(&chosen, k, memory_order_relaxed);
	}
	return k;
}

const char *distance_isa(void)
{
	return kernels()->isa;
}

/* ---- what is done with them ---- */

int distance_init(struct distance *distance, enum quiver_metric metric, enum quiver_dtype dtype,
                  uint32_t dim)
{
	if (metric == QUIVER_HAMMING && dtype != QUIVER_B1 && dtype != QUIVER_U1)
		return -EINVAL;
	*distance = (struct distance){
		.metric = metric,
		.dtype = dtype,
		.dim = dim,
		.vector_bytes = quiver_vector_bytes(dim, dtype),
		.kernels = kernels(),
	};
	return 0;
}

void distance_scores(const struct distance_questions *questions, const void *const *rows,
                     size_t count, float *scores, float *norm_max)
{
	questions->distance->kernels->scores(questions, rows, count, NULL, scores, norm_max);
}

void distance_scores_within(const struct distance_questions *questions, const void *const *rows,
                            size_t count, const float *limits, float *scores, float *norm_max)
{
	questions->distance->kernels->scores(questions, rows, count, limits, scores, norm_max);
}

uint64_t distance_hits(const float *scores, const float *limits, size_t count)
{
	return kernels()->hits(scores, limits, count);
}
