package pipeline;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.owasp.html.HtmlPolicyBuilder;
import org.owasp.html.PolicyFactory;
import org.owasp.html.Sanitizers;

/** The help of a step as a controller shows it: what is in its file, through the markup formatter that is configured. */
class HelpTest {
    /** What the formatter "Safe HTML" of the plugin OWASP Markup Formatter lets through, by the sanitizer that it is made of. */
    private static final PolicyFactory SAFE_HTML = Sanitizers.BLOCKS.and(Sanitizers.FORMATTING).and(Sanitizers.IMAGES).and(Sanitizers.LINKS)
        .and(Sanitizers.STYLES).and(Sanitizers.TABLES).and(new HtmlPolicyBuilder().allowElements("dl", "dt", "dd", "hr", "pre").toFactory());

    private static List<Path> helps() throws IOException {
        try (Stream<Path> files = Files.list(Fixture.ROOT.resolve("vars"))) {
            return files.filter(file -> file.toString().endsWith(".txt")).sorted().collect(Collectors.toList());
        }
    }

    /** The lines that a browser shows of HTML: blanks are one outside of `pre`, where a line is a line. */
    private static List<String> shown(String html) {
        String[] parts = html.split("<pre>|</pre>", -1);
        assertEquals(3, parts.length, html);
        String text = parts[0].replaceAll("\\s+", " ").trim() + parts[1] + parts[2].trim();
        assertTrue(!text.contains("<"), text);
        for (String[] entity : new String[][] {{"&#39;", "'"}, {"&#34;", "\""}, {"&#61;", "="}, {"&#43;", "+"}, {"&#64;", "@"}, {"&#96;", "`"}, {"&#123;", "{"}, {"{<!-- -->", "{"}, {"&lt;", "<"}, {"&gt;", ">"}, {"&amp;", "&"}}) {
            text = text.replace(entity[0], entity[1]);
        }
        return text.lines().toList();
    }

    @Test
    void help_keeps_its_lines_under_safe_html() throws IOException {
        for (Path file : helps()) {
            String[] parts = Fixture.text(file).split("<pre>\n|</pre>\n", -1);
            assertEquals(3, parts.length, file + " has its lines between <pre> and </pre>");
            assertEquals("", parts[2], file.toString());
            List<String> expected = (parts[0].replaceAll("\\s+", " ").trim() + "\n" + parts[1]).lines().toList();
            assertEquals(expected, shown(SAFE_HTML.sanitize(Fixture.text(file))), file.toString());
        }
    }
}
