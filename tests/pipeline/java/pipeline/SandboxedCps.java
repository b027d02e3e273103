package pipeline;

import com.cloudbees.groovy.cps.CpsTransformer;
import com.cloudbees.groovy.cps.sandbox.Trusted;
import com.cloudbees.groovy.cps.sandbox.Untrusted;
import org.codehaus.groovy.ast.ClassCodeExpressionTransformer;
import org.codehaus.groovy.ast.ClassNode;
import org.codehaus.groovy.ast.FieldNode;
import org.codehaus.groovy.ast.MethodNode;
import org.codehaus.groovy.ast.stmt.Statement;
import org.codehaus.groovy.classgen.GeneratorContext;
import org.codehaus.groovy.control.SourceUnit;
import org.kohsuke.groovy.sandbox.SandboxTransformer;

/**
 * Compiles untrusted scripts: what can suspend becomes continuations whose every call is checked, and what is marked
 * `@NonCPS` stays plain Groovy with a check woven in before every call.
 *
 * groovy-cps has a class for this, which needs a newer groovy-sandbox than any public repository has.
 */
final class SandboxedCps extends CpsTransformer {
    private final SandboxTransformer checks = new SandboxTransformer();
    private ClassCodeExpressionTransformer weaver;

    @Override
    public void call(SourceUnit source, GeneratorContext context, ClassNode type) {
        weaver = checks.createVisitor(source, type);
        super.call(source, context, type);
    }

    @Override
    protected void processConstructors(ClassNode type) {
        checks.processConstructors(weaver, type);
    }

    @Override
    protected void visitNontransformedMethod(MethodNode method) {
        weaver.visitMethod(method);
    }

    @Override
    protected void visitNontransformedField(FieldNode field) {
        weaver.visitField(field);
    }

    @Override
    protected void visitNontransformedStatement(Statement statement) {
        statement.visit(weaver);
    }

    @Override
    protected Class<?> getTrustTag() {
        return Untrusted.class;
    }
}
