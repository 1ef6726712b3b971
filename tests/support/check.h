/* check.h - cmocka with its four companions, assertions on weir_rc, and reproducible random
 * numbers. */
#ifndef WEIR_SUPPORT_CHECK_H
#define WEIR_SUPPORT_CHECK_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "libweir/base/err.h"
#include "libweir/base/slice.h"

/* Fails the test with both names (and err's text, when err is not NULL) unless got == want. */
#define assert_rc(want, got, err) weir_check_rc((want), (got), (err), #got, __FILE__, __LINE__)
void weir_check_rc(weir_rc want, weir_rc got, const weir_error *err, const char *what,
                   const char *file, int line);

/* Compares bytes with a C string, printing both. */
#define assert_slice(want, got) weir_check_slice((want), (got), __FILE__, __LINE__)
void weir_check_slice(const char *want, weir_slice got, const char *file, int line);

/* Fails unless needle is in text. */
#define assert_has(text, needle) weir_check_has((text), (needle), __FILE__, __LINE__)
void weir_check_has(const char *text, const char *needle, const char *file, int line);

/* WEIR_TEST_SEED or the clock; printed, so that a failure can be repeated. */
uint64_t weir_test_seed(void);
/* splitmix64 */
uint64_t weir_test_random(uint64_t *state);
/* WEIR_TEST_TIMEOUT_X, 1 to 100: what every deadline of the tests is multiplied with. */
int weir_test_timeout_x(void);
/* Built with AddressSanitizer: the programs use more memory than they would. */
bool weir_test_sanitized(void);

#endif
