#include "base/crypto/openssl.h"

#include <cctype>
#include <limits>

#include <fmt/format.h>
#include <openssl/err.h>

namespace credence {

std::string TakeOpenSslReason() {
  const char* reason = ERR_reason_error_string(ERR_peek_last_error());
  ERR_clear_error();
  std::string text = reason == nullptr ? "" : reason;
  if (!text.empty()) {
    text[0] = static_cast<char>(std::tolower(static_cast<unsigned char>(text[0])));
  }
  return text;
}

Error OpenSslError(Code code, std::string_view what) {
  const std::string reason = TakeOpenSslReason();
  return Error(code, reason.empty() ? std::string(what) : fmt::format("{}: {}", what, reason));
}

OpenSslPtr<BIO> ReadOnlyBio(std::string_view bytes) {
  if (bytes.size() > static_cast<std::size_t>(std::numeric_limits<int>::max())) {
    return nullptr;
  }
  return OpenSslPtr<BIO>(BIO_new_mem_buf(bytes.data(), static_cast<int>(bytes.size())));
}

}  // namespace credence
