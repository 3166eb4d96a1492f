#include "base/crypto/digest.h"

#include <errno.h>
#include <unistd.h>

#include <algorithm>
#include <vector>

#include <fmt/format.h>
#include <openssl/rand.h>

#include "base/core/file.h"
#include "base/crypto/openssl.h"

namespace credence {
namespace {

constexpr std::size_t kFileBlock = std::size_t{64} << 10;

std::string_view AsText(const Sha256Digest& digest) {
  return {static_cast<const char*>(static_cast<const void*>(digest.data())), digest.size()};
}

/// One running SHA-256. A failure of OpenSSL here means a broken installation, not bad input.
class Sha256Stream {
 public:
  Sha256Stream() : context_(EVP_MD_CTX_new()) {
    CREDENCE_CHECK(context_ != nullptr &&
                   EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr) == 1);
  }
  void Add(std::string_view data) {
    CREDENCE_CHECK(EVP_DigestUpdate(context_.get(), data.data(), data.size()) == 1);
  }
  Sha256Digest Finish() {
    Sha256Digest digest{};
    CREDENCE_CHECK(EVP_DigestFinal_ex(context_.get(), digest.data(), nullptr) == 1);
    return digest;
  }

 private:
  OpenSslPtr<EVP_MD_CTX> context_;
};

}  // namespace

Sha256Digest Sha256(std::string_view data) {
  Sha256Stream stream;
  stream.Add(data);
  return stream.Finish();
}

Result<Sha256Digest> Sha256OfFile(int fd, std::uint64_t max_bytes) {
  Sha256Stream stream;
  std::vector<char> block(kFileBlock);
  std::uint64_t total = 0;
  while (true) {
    const ssize_t count = read(fd, block.data(), block.size());
    if (count < 0 && errno == EINTR) {
      continue;
    }
    if (count < 0) {
      return Error(CodeFromErrno(errno),
                   fmt::format("read the file to hash: {}", ErrnoText(errno)));
    }
    if (count == 0) {
      return stream.Finish();
    }
    total += static_cast<std::uint64_t>(count);
    if (total > max_bytes) {
      return Error(Code::kOutOfRange,
                   fmt::format("the file to hash is longer than {} bytes", max_bytes));
    }
    stream.Add(std::string_view(block.data(), static_cast<std::size_t>(count)));
  }
}

std::string Hex(std::string_view bytes) {
  static constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text;
  text.reserve(bytes.size() * 2);
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    text += kDigits[byte >> 4U];
    text += kDigits[byte & 0xfU];
  }
  return text;
}

std::string Hex(const Sha256Digest& digest) {
  return Hex(AsText(digest));
}

std::string RandomBytes(std::size_t size) {
  std::string bytes(size, '\0');
  std::size_t done = 0;
  while (done < size) {
    constexpr std::size_t kMaxStep = std::size_t{1} << 20;
    const std::size_t step = std::min(size - done, kMaxStep);
    CREDENCE_CHECK(RAND_bytes(AsUnsigned(bytes) + done, static_cast<int>(step)) == 1);
    done += step;
  }
  return bytes;
}

std::string RandomUuid() {
  std::string bytes = RandomBytes(16);
  const auto set_bits = [&bytes](std::size_t at, unsigned keep, unsigned set) {
    bytes[at] = static_cast<char>((static_cast<unsigned char>(bytes[at]) & keep) | set);
  };
  set_bits(6, 0x0f, 0x40);
  set_bits(8, 0x3f, 0x80);
  const std::string hex = Hex(bytes);
  return fmt::format("{}-{}-{}-{}-{}",
                     hex.substr(0, 8),
                     hex.substr(8, 4),
                     hex.substr(12, 4),
                     hex.substr(16, 4),
                     hex.substr(20));
}

}  // namespace credence
