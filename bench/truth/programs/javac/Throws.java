import java.util.concurrent.Executors;
import java.util.stream.IntStream;

public class Throws {
    public static void main(String[] words) throws Exception {
        var loaded = new StringBuilder();
        for (String name : new String[] {"java.net.http.HttpClient", "java.util.logging.Logger", "javax.crypto.Cipher",
                "java.util.zip.ZipFile", "java.util.regex.Pattern", "javax.xml.parsers.DocumentBuilderFactory"}) {
            loaded.append(Class.forName(name).getMethods().length);
        }
        IntStream.range(0, 1000).parallel().forEach(i -> loaded.length());
        throw new IllegalStateException("the third table is missing");
    }
}
