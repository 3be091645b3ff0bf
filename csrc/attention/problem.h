/* The words behind a status: which argument, what came, what was expected. Kept per thread, read by fov_last_problem(). */
#ifndef FOV_PROBLEM_H
#define FOV_PROBLEM_H

#include "foveate/foveate.h"

#if defined(__GNUC__)
__attribute__((format(printf, 2, 3)))
#endif
fov_status fov_problem(fov_status status, const char *format, ...);

#endif
