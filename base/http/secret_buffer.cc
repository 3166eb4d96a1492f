#include "base/http/secret_buffer.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace credence {

void SecretBuffer::Append(std::string_view text) {
  if (text.empty()) {
    return;
  }
  if (bytes_.size() - used_ < text.size()) {
    SecretBytes larger(std::max(bytes_.size() * 2, used_ + text.size()));
    if (used_ > 0) {
      std::memcpy(larger.data(), bytes_.data(), used_);
    }
    bytes_ = std::move(larger);
  }
  std::memcpy(bytes_.data() + used_, text.data(), text.size());
  used_ += text.size();
}

SecretBytes SecretBuffer::Take() {
  bytes_.Truncate(used_);
  used_ = 0;
  return std::exchange(bytes_, SecretBytes());
}

}  // namespace credence
