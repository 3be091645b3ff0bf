#include "attention/problem.h"

#include <stdarg.h>
#include <stdio.h>

static _Thread_local char text[256];

fov_status fov_problem(fov_status status, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    return status;
}

const char *fov_last_problem(void) { return text; }
