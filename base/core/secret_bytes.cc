#include "base/core/secret_bytes.h"

#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include <cstring>
#include <string>
#include <utility>

#include <openssl/crypto.h>

#include "base/core/check.h"

namespace credence {
namespace {

// OpenSSL's secure heap: one mapping with guard pages, locked page by page when first touched, left
// out of core dumps. 16 MiB is address space, not memory. OpenSSL itself fails without it (keys,
// random numbers), so ours are small ones and half of it; the others get a locked mapping of their
// own.
constexpr std::size_t kSecureHeapBytes = std::size_t{16} << 20;
constexpr std::size_t kSmallestChunk = 32;
constexpr std::size_t kLargestInHeap = std::size_t{4} << 10;

bool InSecureHeap(const void* data) {
  return CRYPTO_secure_allocated(data) == 1;
}

std::uint8_t* Allocate(std::size_t size) {
  if (size <= kLargestInHeap && CRYPTO_secure_malloc_initialized() == 1 &&
      CRYPTO_secure_used() < kSecureHeapBytes / 2) {
    if (void* memory = OPENSSL_secure_zalloc(size); memory != nullptr) {
      return static_cast<std::uint8_t*>(memory);
    }
  }
  void* memory = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CREDENCE_CHECK(memory != MAP_FAILED);
  // Best effort: an unprivileged command line has a small RLIMIT_MEMLOCK; wiping and no dumps still
  // hold.
  (void)mlock(memory, size);
  (void)madvise(memory, size, MADV_DONTDUMP);
  return static_cast<std::uint8_t*>(memory);
}

}  // namespace

SecretBytes::SecretBytes(std::size_t size) : size_(size), capacity_(size) {
  if (size > 0) {
    data_ = Allocate(size);
  }
}

SecretBytes SecretBytes::CopyOf(std::string_view text) {
  SecretBytes copy(text.size());
  if (!text.empty()) {
    std::memcpy(copy.data_, text.data(), text.size());
  }
  return copy;
}

SecretBytes::SecretBytes(SecretBytes&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)),
      capacity_(std::exchange(other.capacity_, 0)) {}

SecretBytes& SecretBytes::operator=(SecretBytes&& other) noexcept {
  if (this != &other) {
    Release();
    data_ = std::exchange(other.data_, nullptr);
    size_ = std::exchange(other.size_, 0);
    capacity_ = std::exchange(other.capacity_, 0);
  }
  return *this;
}

SecretBytes::~SecretBytes() {
  Release();
}

void SecretBytes::Release() {
  if (data_ == nullptr) {
    return;
  }
  if (InSecureHeap(data_)) {
    OPENSSL_secure_clear_free(data_, capacity_);
  } else {
    OPENSSL_cleanse(data_, capacity_);
    munmap(data_, capacity_);
  }
  data_ = nullptr;
  size_ = 0;
  capacity_ = 0;
}

std::string_view SecretBytes::Reveal() const {
  return {static_cast<const char*>(static_cast<const void*>(data_)), size_};
}

void SecretBytes::Truncate(std::size_t size) {
  CREDENCE_CHECK(size <= size_);
  if (size < size_) {
    OPENSSL_cleanse(data_ + size, size_ - size);
    size_ = size;
  }
}

bool ConstantTimeEqual(const SecretBytes& a, const SecretBytes& b) {
  return a.size() == b.size() && (a.empty() || CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0);
}

void WipeString(std::string& text) {
  if (!text.empty()) {
    OPENSSL_cleanse(text.data(), text.size());
  }
  text.clear();
}

std::string LockSecretMemory() {
  if (CRYPTO_secure_malloc_initialized() != 1 &&
      CRYPTO_secure_malloc_init(kSecureHeapBytes, kSmallestChunk) != 1) {
    return "secret memory could not be locked (raise RLIMIT_MEMLOCK or grant CAP_IPC_LOCK)";
  }
  return "";
}

bool TurnCoreDumpsOff() {
  const rlimit no_core{0, 0};
  return setrlimit(RLIMIT_CORE, &no_core) == 0;
}

std::string ProtectProcessMemory() {
  std::string missing = LockSecretMemory();
  if (!TurnCoreDumpsOff() || prctl(PR_SET_DUMPABLE, 0) != 0) {
    missing += missing.empty() ? "" : "; ";
    missing += "core dumps could not be turned off";
  }
  return missing;
}

}  // namespace credence
