#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include <fmt/format.h>

namespace credence {

/// Bytes that must not leak: kept in memory that is locked against swapping and left out of core
/// dumps, wiped on destruction, movable but not copyable, and impossible to format (a log line of
/// one does not compile).
class SecretBytes {
 public:
  SecretBytes() = default;
  /// Copies `text`; the caller wipes its own copy if that was a plain buffer.
  static SecretBytes CopyOf(std::string_view text);
  /// `size` zero bytes to write into.
  explicit SecretBytes(std::size_t size);
  SecretBytes(SecretBytes&& other) noexcept;
  SecretBytes& operator=(SecretBytes&& other) noexcept;
  SecretBytes(const SecretBytes&) = delete;
  SecretBytes& operator=(const SecretBytes&) = delete;
  ~SecretBytes();

  std::size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  std::uint8_t* data() { return data_; }
  const std::uint8_t* data() const { return data_; }

  /// A view for handing the bytes on; it must not outlive this object nor be copied into plain
  /// memory.
  std::string_view Reveal() const;
  std::span<const std::uint8_t> bytes() const { return {data_, size_}; }

  /// A deliberate second copy.
  SecretBytes Clone() const { return CopyOf(Reveal()); }

  /// Cuts to the first `size` bytes (size <= size()); the rest is wiped.
  void Truncate(std::size_t size);

 private:
  void Release();

  std::uint8_t* data_ = nullptr;
  std::size_t size_ = 0;
  std::size_t capacity_ = 0;
};

/// Equal content, in time that depends on the sizes only.
bool ConstantTimeEqual(const SecretBytes& a, const SecretBytes& b);

/// Overwrites plain memory that held a secret, in a way the compiler keeps.
void WipeString(std::string& text);

/// Wipes a string on leaving the scope. For buffers that foreign code insists on filling.
class WipeOnExit {
 public:
  explicit WipeOnExit(std::string& text) : text_(text) {}
  ~WipeOnExit() { WipeString(text_); }
  WipeOnExit(const WipeOnExit&) = delete;
  WipeOnExit& operator=(const WipeOnExit&) = delete;

 private:
  std::string& text_;
};

/// Bytes shared by whoever sends them, wiped when the last one lets go.
using SharedSecret = std::shared_ptr<const SecretBytes>;

/// Sets up the locked memory. Once, first in main. Returns what could not be had ("" if all is
/// well), for the log: locking needs RLIMIT_MEMLOCK or CAP_IPC_LOCK.
std::string LockSecretMemory();
/// No core file of this process or of those it starts from now on. False if the system refuses.
bool TurnCoreDumpsOff();
/// LockSecretMemory and TurnCoreDumpsOff, and no attaching by others of our user (PR_SET_DUMPABLE):
/// for the agent, which nobody has to attest. Returns what could not be had.
std::string ProtectProcessMemory();

}  // namespace credence

/// Formatting a secret does not compile.
template <>
struct fmt::formatter<credence::SecretBytes> {
  formatter() = delete;
};
