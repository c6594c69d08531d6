// The command line of weft-flood: options with a value, read into numbers within bounds.
#ifndef WEFT_BENCH_ARGUMENTS_H_
#define WEFT_BENCH_ARGUMENTS_H_

#include <cstdint>

namespace weft {

// Reads `--name value` pairs and remembers whether any of them was wrong; who asks for an option
// gets it, or the default. What nobody asked for is wrong too.
class Arguments {
 public:
  explicit Arguments(char* const* argv) : argv_(argv) {}

  bool Flag(const char* name);
  const char* Text(const char* name, const char* otherwise);
  double Number(const char* name, double least, double most, double otherwise);
  uint64_t Whole(const char* name, uint64_t least, uint64_t most, uint64_t otherwise);

  // After the last question: whether all was understood; else says on stderr what was not.
  bool Understood() const;

 private:
  static constexpr int kMostWords = 64;

  // The word behind `name`, which is taken; null if it is not there.
  const char* Take(const char* name);
  void Complain(const char* name, const char* value);

  char* const* argv_;
  bool taken_[kMostWords] = {};
  bool wrong_ = false;
};

}  // namespace weft

#endif  // WEFT_BENCH_ARGUMENTS_H_
