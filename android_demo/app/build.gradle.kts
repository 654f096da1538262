import com.android.build.api.variant.HasUnitTestBuilder

plugins {
    alias(libs.plugins.android.application)
    alias(libs.plugins.kotlin.android)
}

android {
    namespace = "org.aectoolkit.demo"
    compileSdk =
        libs.versions.target.sdk
            .get()
            .toInt()
    defaultConfig {
        applicationId = "org.aectoolkit.demo"
        minSdk =
            libs.versions.min.sdk
                .get()
                .toInt()
        targetSdk =
            libs.versions.target.sdk
                .get()
                .toInt()
        versionCode = 1
        versionName = "0.1.0"
    }

    flavorDimensions += "runtime"
    productFlavors {
        create("tflite") { dimension = "runtime" }
        create("executorch") { dimension = "runtime" }
    }

    buildTypes {
        release {
            isMinifyEnabled = true
            proguardFile("r8.pro")
            signingConfig = signingConfigs.getByName("debug")
        }
    }

    splits {
        abi {
            isEnable = true
            reset()
            include("arm64-v8a", "x86_64")
            isUniversalApk = true
        }
    }
    packaging {
        jniLibs.useLegacyPackaging = true // stored deflated, for a small APK
        resources.excludes += "META-INF/native-image/**" // by the same names in several jars, and of no use here
    }
    testOptions.unitTests.isIncludeAndroidResources = true
}

// The tests run the real TFLite
androidComponents {
    beforeVariants(selector().withFlavor("runtime" to "executorch")) {
        (it as HasUnitTestBuilder).enableUnitTest = false
    }
}

kotlin {
    compilerOptions.allWarningsAsErrors = true
    jvmToolchain(
        libs.versions.java
            .get()
            .toInt(),
    )
}

dependencies {
    implementation(project(":core"))
    "tfliteImplementation"(project(":tflite"))
    "executorchImplementation"(project(":executorch"))
    for (platform in listOf("android-arm64", "android-x86_64")) {
        "tfliteRuntimeOnly"(variantOf(libs.tensorflow.lite) { classifier(platform) })
        "tfliteRuntimeOnly"(variantOf(libs.javacpp) { classifier(platform) })
    }

    testRuntimeOnly(variantOf(libs.tensorflow.lite) { classifier("linux-x86_64") })
    testRuntimeOnly(variantOf(libs.javacpp) { classifier("linux-x86_64") })
    testImplementation(platform(libs.junit.bom))
    testImplementation(libs.junit.jupiter)
    testImplementation(libs.junit.vintage.engine)
    testImplementation(libs.kotlin.test.junit5)
    testImplementation(libs.robolectric)
}
