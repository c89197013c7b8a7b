import java.util.concurrent.Executors;
import java.util.concurrent.atomic.AtomicLong;

public class Pool {
    // What fails runs in a pool while main waits for it; the pool is stopped, so that the machine ends.
    public static void main(String[] words) throws Exception {
        var pool = Executors.newFixedThreadPool(2);
        var sum = new AtomicLong();
        try {
            pool.submit(() -> {
                for (long end = System.nanoTime() + 400_000_000L; System.nanoTime() < end;) {
                    sum.addAndGet(String.valueOf(sum).hashCode());
                }
                throw new IllegalStateException("the third table is missing");
            }).get();
        } finally {
            pool.shutdown();
        }
    }
}
