#include "../wire/sum_bytes.h"

#include <cstring>

namespace weft {

namespace {

uint64_t AddWithCarry(uint64_t a, uint64_t b) {
  const uint64_t sum = a + b;
  return sum + (sum < a);  // end around
}

// Less than 64 bytes, and the end of what is longer. Without a call: memcpy of a length that the
// compiler does not know would be one.
[[gnu::always_inline]] inline uint64_t SumShort(const uint8_t* data, uint32_t length) {
  uint64_t sum = 0;
  const auto add = [&]<typename Word>(Word word) {
    memcpy(&word, data, sizeof(word));
    sum = AddWithCarry(sum, word);
    data += sizeof(word);
  };
  for (; length >= 8; length -= 8) add(uint64_t{});
  if ((length & 4) != 0) add(uint32_t{});
  if ((length & 2) != 0) add(uint16_t{});
  if ((length & 1) != 0) {
    const uint8_t last[2] = {*data, 0};
    uint16_t word;
    memcpy(&word, last, sizeof(word));
    sum = AddWithCarry(sum, word);
  }
  return sum;
}

// Words of 32 bits in sums of 64: no carry is lost before 2^32 words.
uint64_t SumPortable(const uint8_t* data, uint32_t length) {
  uint64_t sums[4] = {};
  while (length >= 16) {
    uint32_t words[4];
    memcpy(words, data, sizeof(words));
    for (int i = 0; i < 4; i++) sums[i] += words[i];
    data += 16;
    length -= 16;
  }
  uint64_t sum = SumShort(data, length);
  for (const uint64_t one : sums) sum = AddWithCarry(sum, one);
  return sum;
}

#if defined(__x86_64__)

// Words of 64 bits by their halves, the low ones and the high ones, in sums of 64 bits each. The
// body is the same for each width; the target attribute of who inlines it decides the instructions.
template <typename Vector>
[[gnu::always_inline]] inline uint64_t SumVectors(const uint8_t*& data, uint32_t& length) {
  constexpr uint32_t kWidth = sizeof(Vector);
  Vector low = {};
  Vector high = {};
  while (length >= 2 * kWidth) {
    Vector x;
    Vector y;
    memcpy(&x, data, kWidth);
    memcpy(&y, data + kWidth, kWidth);
    low += (x & 0xffffffff) + (y & 0xffffffff);
    high += (x >> 32) + (y >> 32);
    data += 2 * kWidth;
    length -= 2 * kWidth;
  }
  if (length >= kWidth) {
    Vector x;
    memcpy(&x, data, kWidth);
    low += x & 0xffffffff;
    high += x >> 32;
    data += kWidth;
    length -= kWidth;
  }
  uint64_t sum = 0;
  for (uint32_t i = 0; i < kWidth / 8; i++) {
    sum = AddWithCarry(AddWithCarry(sum, low[i]), high[i]);
  }
  return sum;
}

using Vector256 = uint64_t __attribute__((vector_size(32)));
using Vector512 = uint64_t __attribute__((vector_size(64)));

__attribute__((target("avx2"))) uint64_t SumAvx2(const uint8_t* data, uint32_t length) {
  const uint64_t sum = SumVectors<Vector256>(data, length);
  return AddWithCarry(sum, SumShort(data, length));
}

__attribute__((target("avx512f"))) uint64_t SumAvx512(const uint8_t* data, uint32_t length) {
  const uint64_t sum = SumVectors<Vector512>(data, length);
  return AddWithCarry(sum, SumShort(data, length));
}

#endif

SumImplementations Choose() {
  SumImplementations found{{{"portable", SumPortable}}, 1};
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx2")) found.list[found.count++] = {"avx2", SumAvx2};
  if (__builtin_cpu_supports("avx512f")) {
    found.list[found.count++] = {"avx512", SumAvx512};
  }
#endif
  return found;
}

const SumImplementations kAvailable = Choose();
const SumBytes kFastest = kAvailable.list[kAvailable.count - 1].sum;

}  // namespace

const SumImplementations& AvailableSums() { return kAvailable; }

uint64_t SumOfBytes(const uint8_t* data, uint32_t length) {
  return length < 64 ? SumShort(data, length) : kFastest(data, length);
}

}  // namespace weft
