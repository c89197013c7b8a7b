import java.util.HashMap;

public class Work {
    public static void main(String[] words) throws Exception {
        var map = new HashMap<Integer, String>();
        for (long end = System.nanoTime() + 300_000_000L; System.nanoTime() < end;) {
            map.put(map.size() % 10000, "row " + map.size());
        }
        throw new IllegalStateException("the third table is missing");
    }
}
