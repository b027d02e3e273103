/* Read before every C source of ring in a release build; scripts/build-static says so.
 *
 * ring multiplies the generators of P-256 and Curve25519 with the help of tables, 148 and 24 KiB that no compression
 * makes smaller. Here a generator goes through the multiplication for any other point, with ring's own code and in
 * constant time, as ring itself does on ARM for the second; the linker drops the tables with what reads them.
 * With a wrong number below no handshake would succeed; none would that should not.
 */
#ifndef __ASSEMBLER__
#include <ring-core/base.h>

#if defined(__x86_64__) || defined(__aarch64__)
/* Weak, as every source gets a copy. */
#define RING_SMALL __attribute__((weak)) void

void p256_point_mul(uint64_t r[3][4], const uint64_t scalar[4], const uint64_t x[4], const uint64_t y[4]);
void p256_point_mul_base(uint64_t r[3][4], const uint64_t scalar[4]);
void p256_point_mul_base_vartime(uint64_t r[3][4], const uint64_t scalar[4]);
void x25519_scalar_mult_adx(uint8_t out[32], const uint8_t scalar[32], const uint8_t point[32]);
void x25519_scalar_mult_generic_masked(uint8_t out[32], const uint8_t scalar[32], const uint8_t point[32]);
void x25519_public_from_private_generic_masked(uint8_t out[32], const uint8_t scalar[32], int use_adx);

/* The generator, times 2^256 modulo the prime, as the multiplication expects it. */
RING_SMALL p256_point_mul_base(uint64_t r[3][4], const uint64_t scalar[4]) {
  static const uint64_t x[4] = {0x79e730d418a9143c, 0x75ba95fc5fedb601, 0x79fb732b77622510, 0x18905f76a53755c6};
  static const uint64_t y[4] = {0xddf25357ce95560a, 0x8b4ab8e4ba19e45c, 0xd2e88688dd21f325, 0x8571ff1825885d85};
  p256_point_mul(r, scalar, x, y);
}

RING_SMALL p256_point_mul_base_vartime(uint64_t r[3][4], const uint64_t scalar[4]) { p256_point_mul_base(r, scalar); }

RING_SMALL x25519_public_from_private_generic_masked(uint8_t out[32], const uint8_t scalar[32], int use_adx) {
  static const uint8_t generator[32] = {9};
#if defined(__x86_64__)
  if (use_adx) {
    x25519_scalar_mult_adx(out, scalar, generator);
    return;
  }
#endif
  (void)use_adx;
  x25519_scalar_mult_generic_masked(out, scalar, generator);
}

/* What ring defines under these names from here on goes by others, which nothing calls. */
#undef p256_point_mul_base
#define p256_point_mul_base p256_point_mul_base_by_table
#undef p256_point_mul_base_vartime
#define p256_point_mul_base_vartime p256_point_mul_base_vartime_by_table
#undef x25519_public_from_private_generic_masked
#define x25519_public_from_private_generic_masked x25519_public_from_private_generic_masked_by_table
#endif
#endif
