// Defaults of the sanitizers, linked into every program of a sanitizer build; ASAN_OPTIONS of the environment go on
// top.
//
// The sanitizers' runtime calls these before main, so this file is not instrumented itself.

extern "C" {

// intercept_tls_get_addr: GCC 12's leak check keeps a table of the thread-local data of dlopened libraries; once such a
// library has started OpenMP threads, it follows a stray pointer in that table and dies. Without the table it does not
// look for pointers in that data, and nothing else changes.
__attribute__((visibility("default"))) const char* __asan_default_options() {
  return "intercept_tls_get_addr=0:strict_string_checks=1:detect_stack_use_after_return=1";
}

__attribute__((visibility("default"))) const char* __ubsan_default_options() { return "print_stacktrace=1"; }

#ifdef EDDL_TSAN_SUPPRESSIONS
// ignore_noninstrumented_modules: what memcpy, free and their like touch for a library that was not compiled with the
// sanitizer, since what orders it there is not seen, either.
__attribute__((visibility("default"))) const char* __tsan_default_options() {
  return "suppressions=" EDDL_TSAN_SUPPRESSIONS ":ignore_noninstrumented_modules=1";
}
#endif

}  // extern "C"
