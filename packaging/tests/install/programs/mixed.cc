#include "mixed.c"
