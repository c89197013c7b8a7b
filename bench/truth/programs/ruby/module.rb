%w[json set socket openssl optparse time yaml erb].each { |name| require name }
require 'no_such_module'
