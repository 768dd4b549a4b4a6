#include "own.c"
