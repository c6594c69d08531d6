// What went wrong: a code that programs read (docs/api.md) and one line that people read.
#ifndef WEFT_INIT_ERROR_H_
#define WEFT_INIT_ERROR_H_

namespace weft {

constexpr char kInvalidArgument[] = "invalid_argument";
constexpr char kNotFound[] = "not_found";
constexpr char kAddressInUse[] = "address_in_use";
constexpr char kInterfaceInUse[] = "interface_in_use";
constexpr char kNotRunning[] = "not_running";
constexpr char kAlreadyRunning[] = "already_running";
constexpr char kUnavailable[] = "unavailable";
constexpr char kInternal[] = "internal";

class [[nodiscard]] Error {
 public:
  Error() = default;  // nothing went wrong

  [[gnu::format(printf, 2, 3)]] static Error Of(const char* code, const char* format, ...);

  // The text is followed by what errno says.
  [[gnu::format(printf, 2, 3)]] static Error FromErrno(const char* code, const char* format, ...);

  explicit operator bool() const { return code_ != nullptr; }
  const char* code() const { return code_; }
  const char* text() const { return text_; }

 private:
  const char* code_ = nullptr;
  char text_[200] = "";  // a path of usual length and a reason; longer ones are cut
};

}  // namespace weft

#endif  // WEFT_INIT_ERROR_H_
