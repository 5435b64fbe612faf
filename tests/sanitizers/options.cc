// Defaults of the sanitizers, linked into every program of a sanitizer build; the environment's ASAN_OPTIONS go on top.
//
// The sanitizers' runtime calls these before main, so this file is not instrumented itself.

extern "C" {

// intercept_tls_get_addr: when a plugin whose library keeps thread-local data is loaded by dlopen and has started OpenMP
// threads, GCC 12's leak check reads a stray pointer in its table of such data and dies. Without that table it only does not
// look for pointers there.
__attribute__((visibility("default"))) const char* __asan_default_options() {
  return "intercept_tls_get_addr=0:strict_string_checks=1:detect_stack_use_after_return=1";
}

__attribute__((visibility("default"))) const char* __ubsan_default_options() { return "print_stacktrace=1"; }

}  // extern "C"
