import com.sun.net.httpserver.HttpServer;
import java.net.InetSocketAddress;

public class Good {
    public static void main(String[] words) throws Exception {
        var server = HttpServer.create(new InetSocketAddress("127.0.0.1", Integer.parseInt(words[0])), 5);
        server.createContext("/", x -> x.sendResponseHeaders(200, -1));
        server.start();
    }
}
