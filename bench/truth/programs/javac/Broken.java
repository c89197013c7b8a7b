public class Broken {
    public static void main(String[] words) {
        var server = new NoSuchServer(words[0]);
    }
}
