#include "mutant.h"

enum mutant core_mutant;

const struct mutant_def mutants[MUTANT_COUNT] = {
#define X(sym, name, seeds, what) { name, seeds, what },
	MUTANTS(X)
#undef X
};
