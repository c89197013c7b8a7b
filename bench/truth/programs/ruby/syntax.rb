require 'json'
class Server
  def serve(port
  end
