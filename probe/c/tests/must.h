/* What has to be so in a program of the tests: else it says where, and ends with 2. */
#pragma once

#include <stdio.h>
#include <stdlib.h>

#define MUST(condition) \
	do { \
		if (!(condition)) { \
			fprintf(stderr, "line %d: %s\n", __LINE__, #condition); \
			exit(2); \
		} \
	} while (0)
