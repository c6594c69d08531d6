// What went wrong: formatting.
#include "error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

namespace weft {
namespace {

// Replies and reports are single lines, whatever a path or a command is called.
void KeepToOneLine(char* text) {
  for (; *text != '\0'; ++text) {
    if (*text == '\n' || *text == '\r') *text = ' ';
  }
}

}  // namespace

Error Error::Of(const char* code, const char* format, ...) {
  Error error;
  error.code_ = code;
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(error.text_, sizeof(error.text_), format, arguments);
  va_end(arguments);
  KeepToOneLine(error.text_);
  return error;
}

Error Error::FromErrno(const char* code, const char* format, ...) {
  const int number = errno;
  Error error;
  error.code_ = code;
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(error.text_, sizeof(error.text_), format, arguments);
  va_end(arguments);
  const size_t used = strlen(error.text_);
  snprintf(error.text_ + used, sizeof(error.text_) - used, ": %s", strerror(number));
  KeepToOneLine(error.text_);
  return error;
}

}  // namespace weft
