// The interface as C++20, without extensions or padding.
#include "tests/abi/layout_check.h"
