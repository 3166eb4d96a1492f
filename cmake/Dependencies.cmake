# Every library that Credence stands on; all are Debian 12 packages. ARCHITECTURE.md says why each is here.
find_package(Threads REQUIRED)
find_package(OpenSSL 3.0 REQUIRED)
find_package(Boost 1.81 REQUIRED COMPONENTS json url)
find_package(Protobuf REQUIRED)
find_package(gRPC REQUIRED CONFIG) # brings re2::re2
find_package(fmt REQUIRED)
find_package(spdlog REQUIRED)
find_package(yaml-cpp REQUIRED)
find_package(CLI11 REQUIRED)
find_package(SQLite3 REQUIRED)
find_package(ZLIB REQUIRED)
find_package(GTest REQUIRED)
find_package(PkgConfig REQUIRED)
pkg_check_modules(nghttp2 REQUIRED IMPORTED_TARGET libnghttp2)

# One file is smaller in memory than a program with fifty libraries. OpenSSL stays shared:
# its security updates must not wait for a build of ours.
option(CREDENCE_STATIC_LIBRARIES "Link gRPC, Protobuf and other C++ libraries from their archives" OFF)
if(CREDENCE_STATIC_LIBRARIES)
  include(StaticLibraries)
  credence_link_statically(gRPC::grpc++ protobuf::libprotobuf yaml-cpp Boost::json Boost::url PkgConfig::nghttp2)
endif()
