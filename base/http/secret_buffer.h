#pragma once

#include <cstddef>
#include <string_view>

#include "base/core/secret_bytes.h"

namespace credence {

/// Grows like a string while secret text is put together; what it leaves behind when growing is
/// wiped.
class SecretBuffer {
 public:
  /// Room for `expected` bytes before the first growth.
  explicit SecretBuffer(std::size_t expected = 256) : bytes_(expected) {}

  void Append(std::string_view text);

  std::size_t size() const { return used_; }
  std::string_view Reveal() const { return bytes_.Reveal().substr(0, used_); }

  /// What was appended; the buffer is empty afterwards.
  SecretBytes Take();

 private:
  SecretBytes bytes_;
  std::size_t used_ = 0;
};

}  // namespace credence
