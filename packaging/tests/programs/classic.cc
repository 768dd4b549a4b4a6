#include "classic.c"
