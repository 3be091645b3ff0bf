/* One wrong field in a valid description. */
#ifndef FUZZ_SPOIL_H
#define FUZZ_SPOIL_H

#include "description.h"

/* Changes one field of d->args as `which` says. 1: the call must be refused now; 0: the field did not apply, nothing changed. */
int spoil(description *d, unsigned which, choices *in);

#endif
