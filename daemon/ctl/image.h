/* SPDX-License-Identifier: ISC */
/* Making disk images. */
#ifndef CTL_IMAGE_H
#define CTL_IMAGE_H

#include <stdint.h>

#include "shared/err.h"

/*
 * A raw image of bytes, which takes no room before it is written to.  It is
 * there whole or not at all, and never in the place of another file: EEXIST.
 */
int image_create(const char *path, uint64_t bytes, struct err *);

#endif
