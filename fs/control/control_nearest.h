/*
 * control_nearest.h - control/nearest: which vectors are nearest, in binary.
 *
 * The question is as nearest_request.h says. The answer, little-endian:
 *
 *   Q x 4 bytes   how many were found for each question; then zeros up to a multiple of 8 bytes
 *   Q x k x 16    of each question k neighbours, nearest first: an ID and the distance as a float64;
 *                 behind those that were found 2^64-1 and NaN
 */
#ifndef CONTROL_NEAREST_H
#define CONTROL_NEAREST_H

#include "fs/question/exchange.h"

extern const struct question_kind nearest_questions;

#endif
