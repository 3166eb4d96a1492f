#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <string>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

/// Runs a fuzz target over every file of the folder given as the first argument, so that past
/// findings stay tested in ordinary builds. A missing or empty folder is a failure: a test that
/// runs nothing must not pass.
int main(int argc, char** argv) {
  if (argc != 2 || !std::filesystem::is_directory(argv[1])) {
    std::cerr << "usage: " << argv[0] << " SEED_FOLDER\n";
    return 2;
  }
  std::size_t count = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(argv[1])) {
    if (!entry.is_regular_file()) {
      continue;
    }
    std::ifstream file(entry.path(), std::ios::binary);
    const std::vector<char> bytes{std::istreambuf_iterator<char>(file),
                                  std::istreambuf_iterator<char>()};
    if (!file) {
      std::cerr << entry.path() << " could not be read\n";
      return 1;
    }
    // An exact copy on the heap, so that a sanitizer sees a read past the end.
    const std::vector<std::uint8_t> input(bytes.begin(), bytes.end());
    if (LLVMFuzzerTestOneInput(input.data(), input.size()) != 0) {
      std::cerr << entry.path() << " failed\n";
      return 1;
    }
    ++count;
  }
  if (count == 0) {
    std::cerr << argv[1] << " has no seeds\n";
    return 1;
  }
  std::cout << count << " seeds run\n";
  return 0;
}
